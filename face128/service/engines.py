"""The engines of the running service: which are loaded, why others are not, and which look at a photo together."""

from __future__ import annotations

from face128.encoding.passes import Passes, with_passes
from face128.engines import loader
from face128.engines.base import Engine
from face128.errors import InvalidRequest, NotReady
from face128.settings import Settings


class LoadedEngines:
    """Engines by their name. One thread adds them while the others read."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded: dict[str, Engine] = {}
        self.load_errors: dict[str, str] = {}
        """Why an engine could not be loaded, by its name."""

    @property
    def default(self) -> str:
        return self._settings.engines[0]

    @property
    def ready(self) -> bool:
        """Whether the default engine is loaded, and each of its companions has been tried."""
        return self.default in self._loaded and not self._is_loading(self._companion_names(self.default))

    def add(self, name: str, engine: Engine | str) -> None:
        """An engine that is loaded and warm, or a sentence why it could not be loaded."""
        if isinstance(engine, str):
            self.load_errors[name] = engine
        else:
            self._loaded[name] = engine

    def get(self, name: str | None = None, passes: Passes | None = None) -> Engine:
        """The engine of this name, or the default, with these passes, or those of the settings.

        Raises NotReady while it loads, InvalidRequest if there is none.
        """
        name = self.default if name is None else name
        if name in self._loaded:
            return with_passes(self._loaded[name], passes or self._settings.passes)
        if name in self.load_errors:
            raise NotReady(f"The engine {name} could not be loaded: {self.load_errors[name]}")
        if name in self._settings.engines:
            raise NotReady()
        raise InvalidRequest(f"The loaded engines are: {', '.join(self._settings.engines)}.", field="engine")

    def companions(self, name: str | None = None, passes: Passes | None = None) -> list[Engine]:
        """The other engines that can describe a face that this one has found. One that could not be loaded is left out.

        Raises NotReady while one loads: a member enrolled now would lack its descriptor for good.
        """
        names = self._companion_names(self.default if name is None else name)
        if self._is_loading(names):
            raise NotReady()
        return [self.get(each, passes) for each in names if each in self._loaded]

    def probe_companions(self, name: str | None, asked: bool | None) -> list[Engine]:
        """The companions that look at a photo to be recognised: those that were asked for.

        None: all of them, unless FACE128_DECISION_MODELS lets dlib's network decide alone.
        """
        wanted = self._settings.decision_models != "dlib" if asked is None else asked
        return self.companions(name) if wanted else []

    def shadow_companions(self, name: str | None) -> list[Engine]:
        """The companions that look at a photo to be recognised for FACE128_SHADOW_MODELS alone."""
        return self.companions(name) if self._settings.shadow_models else []

    def other_searches(self) -> list[str]:
        """The other loaded engines that find faces in their own way: they look at a photo by themselves."""
        together = [self.default, *self._companion_names(self.default)]
        return [name for name in self._settings.engines if name in self._loaded and name not in together]

    def states(self) -> dict[str, str]:
        """For each engine of the settings: "ready", "loading", or why it could not be loaded."""
        return {
            name: "ready" if name in self._loaded else self.load_errors.get(name, "loading")
            for name in self._settings.engines
        }

    def licences(self) -> dict[str, str]:
        """The licence of the weights of each loaded model, by the model's name."""
        return {engine.card.name: engine.card.licence for engine in tuple(self._loaded.values())}

    def decision_problem(self) -> str | None:
        """Why photos are not decided by the networks of FACE128_DECISION_MODELS; None if they are."""
        return loader.decision_problem(self._settings, self.load_errors)

    def _companion_names(self, name: str) -> list[str]:
        return [each for each in loader.companions(name) if each in self._settings.engines]

    def _is_loading(self, names: list[str]) -> bool:
        return any(name not in self._loaded and name not in self.load_errors for name in names)
