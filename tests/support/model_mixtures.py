"""Random bodies of /match whose faces were described by one network, by the other, by both, or by none."""

from __future__ import annotations

import random
from typing import Any

from several_models import DLIB, FACEAPI, NUMBERS, PAIR, RETAIL, Numbers


class Mixtures:
    """The bodies that one seed gives, in their order."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def face(self, person: int, photo: int) -> dict[str, Numbers]:
        """What the networks might say of a photo: of one person's photos, about the same."""
        of_person, of_photo = random.Random(f"person {person}"), random.Random(f"photo {person} {photo}")
        found = {}
        for name, spread, drift in ((DLIB, 0.06, 0.02), (RETAIL, 1.0, 0.6)):
            numbers = [of_person.gauss(0, spread) + of_photo.gauss(0, drift) for _ in range(NUMBERS[name])]
            found[name] = numbers
        found[FACEAPI] = [x + of_photo.gauss(0, 0.01) for x in found[DLIB]]
        return found

    def photos(self, person: int, count: int, names: list[str], first: int = 0) -> dict[str, Any]:
        """The fields of a member or of a probe, in one of the ways to write them, from their ``first`` photo on."""
        dice = self._dice
        faces = [self.face(person, first + dice.randrange(4)) for _ in range(count)]
        if not names:
            return dice.choice([{}, {"descriptor": None}, {"descriptors": {}}, {"descriptors": {DLIB: []}}])
        if names == [DLIB] and dice.random() < 0.5:
            several = [face[DLIB] for face in faces]
            return {"descriptor": several[0]} if count == 1 else {"descriptors": several}
        lists: dict[str, Any] = {name: [face[name] for face in faces] for name in names}
        for values in lists.values():
            if count > 1 and dice.random() < 0.4:
                values[dice.randrange(count)] = None
        fields: dict[str, Any] = {}
        if DLIB in lists and lists[DLIB][0] and (kind := dice.random()) < 0.5:
            fields["descriptor"] = lists[DLIB][0] if kind < 0.35 else self.face(person, first + 9)[DLIB]
            if kind < 0.2:
                del lists[DLIB]
                lists = {name: values[:1] for name, values in lists.items()}
        written = {name: values[0] if len(values) == 1 and values[0] else values for name, values in lists.items()}
        return fields | {"descriptors": written}

    def models(self) -> list[str]:
        dice = self._dice
        ways = [[DLIB], [RETAIL], [DLIB, RETAIL], [RETAIL, DLIB], [FACEAPI, RETAIL], [FACEAPI], []]
        return dice.choices(ways, [4, 4, 6, 2, 2, 1, 2])[0]

    def body(self, people: int = 12, entries: int | None = None) -> dict[str, Any]:
        """The body of a request with some of these ``people``.

        With so many ``entries`` all who differ have different photos, and the probe is none of them.
        """
        dice = self._dice
        members = []
        for i in range(dice.randrange(people) if entries is None else entries):
            person = dice.randrange(people)
            reg_no = dice.choice([person, f"{person}"]) if entries is None else person
            photos = self.photos(person, dice.choice([1, 1, 2, 3]), self.models())
            members.append({"regNo": reg_no, "name": f"Entry {i}", **photos})
        first = 0 if entries is None else 20
        probe = dice.randrange(people + 2), dice.choice([1, 1, 2]), self.models() or [RETAIL]
        body: dict[str, Any] = self.photos(*probe, first)
        body["enrolled"] = members
        if dice.random() < 0.3:
            body["template"] = "mean"
        if dice.random() < 0.3:
            body["threshold"] = dice.choice([0.45, {PAIR: 0.7, RETAIL: 0.5}, {DLIB: 0.2, RETAIL: None, FACEAPI: 0.3}])
        return body
