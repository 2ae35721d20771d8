"""A page of HTML as a browser without script has it: its elements, its text, its links, and its forms to fill in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx

URL_ATTRIBUTES = ("href", "src", "action", "formaction", "poster", "data", "data-live", "ping", "srcset", "xlink:href")
Element = tuple[str, tuple[str, ...]]
"""The tag and the names of the attributes, sorted."""


@dataclass
class Form:
    action: str
    """Absolute."""
    method: str
    fields: dict[str, str] = field(default_factory=dict)

    def send(self, client: httpx.Client, **changes: str) -> httpx.Response:
        """As it stands, with these fields changed."""
        fields = self.fields | changes
        if self.method == "get":  # the form's fields replace the query of its address
            return client.get(self.action.partition("?")[0], params=fields)
        return client.post(self.action, data=fields)


class HtmlPage(HTMLParser):
    """``values`` are those of all attributes; ``addresses``, absolute, those that name one, and ``next`` is that of the
    next page.
    """

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(convert_charrefs=True)
        self.url = str(answer.url)
        self.elements: Counter[Element] = Counter()
        self.addresses: list[str] = []
        self.forms: list[Form] = []
        self.values: list[str] = []
        self.next: str | None = None
        self._texts: list[str] = []
        assert answer.headers["content-type"].startswith("text/html"), answer.headers
        self.feed(answer.text)
        self.close()
        self.text = "".join(self._texts)

    def form(self, ending: str) -> Form:
        """The first form whose action's path ends so."""
        return next(form for form in self.forms if urlsplit(form.action).path.endswith(ending))

    def links(self, ending: str) -> list[dict[str, str]]:
        """The queries of all addresses whose path ends so."""
        found = [urlsplit(address) for address in self.addresses]
        queries = [parse_qs(each.query, keep_blank_values=True) for each in found if each.path.endswith(ending)]
        return [{name: values[0] for name, values in query.items()} for query in queries]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.elements[tag, tuple(sorted(known))] += 1
        self.values += known.values()
        named = [known[name] for name in URL_ATTRIBUTES if name in known]
        self.addresses += [urljoin(self.url, each) for each in named if not each.startswith("#")]
        if known.get("rel") == "next":
            self.next = urljoin(self.url, known["href"])
        if tag == "form":
            self.forms.append(Form(urljoin(self.url, known.get("action", "")), known.get("method", "get").lower()))
        elif tag == "input" and "name" in known and self.forms:
            self.forms[-1].fields[known["name"]] = known.get("value", "")

    def handle_data(self, data: str) -> None:
        self._texts.append(data)

    def handle_decl(self, decl: str) -> None:
        self.elements[f"!{decl}", ()] += 1

    def handle_comment(self, data: str) -> None:
        self.elements["!--", ()] += 1

    def handle_pi(self, data: str) -> None:
        self.elements["?", ()] += 1

    def unknown_decl(self, data: str) -> None:
        self.elements["!?", ()] += 1
