"""face128: whose face is this? 128-d face descriptors, exactly dlib's and much faster.

``Encoder`` and ``Matcher`` do in a program what POST /encode-image and POST /match do in the service. They are loaded
when they are first named, because importing this package must stay cheap.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers know the name; importing ``typing`` would take most of this module's time
if TYPE_CHECKING:
    from face128.library.encoder import Encoder as Encoder
    from face128.library.matcher import Matcher as Matcher

__version__ = "0.2.0"
__all__ = ["Encoder", "Matcher", "__version__"]


def __getattr__(name: str) -> object:
    if name == "Encoder":
        from face128.library.encoder import Encoder

        return Encoder
    if name == "Matcher":
        from face128.library.matcher import Matcher

        return Matcher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
