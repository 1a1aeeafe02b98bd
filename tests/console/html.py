"""What is wrong with a page's HTML: by the WHATWG's parser (html5lib), and by its content model.

html5lib names every parse error of the standard, offline and without Java. What may stand in what,
and which ids must be there, no parser says: the rules that our templates could break are here.
"""

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element

import html5lib

_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "details",
        "dialog",
        "div",
        "dl",
        "fieldset",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "ul",
    ]
)
#: What holds words only.
_WORDS = frozenset(
    [
        "abbr",
        "b",
        "button",
        "cite",
        "code",
        "dfn",
        "em",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "i",
        "kbd",
        "label",
        "legend",
        "mark",
        "p",
        "pre",
        "q",
        "s",
        "samp",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "time",
        "u",
    ]
)
_CLICKED = frozenset({"a", "button", "details", "input", "label", "select", "textarea"})
_CHILDREN = {
    "ul": {"li"},
    "ol": {"li"},
    "dl": {"div", "dt", "dd"},
    "select": {"option", "optgroup", "hr"},
    "tr": {"td", "th"},
    "thead": {"tr"},
    "tbody": {"tr"},
    "tfoot": {"tr"},
    "table": {"caption", "colgroup", "thead", "tbody", "tfoot"},
}
_PARENTS = {
    "li": {"ul", "ol"},
    "dt": {"dl", "div"},
    "dd": {"dl", "div"},
    "summary": {"details"},
    "legend": {"fieldset"},
}
_POINTERS = ("for", "form", "list", "aria-describedby", "aria-labelledby", "aria-controls")
_OBSOLETE = frozenset(
    [
        "align",
        "bgcolor",
        "border",
        "center",
        "font",
        "big",
        "tt",
        "strike",
        "marquee",
        "nowrap",
        "valign",
    ]
)


def faults(text: str) -> list[str]:
    """Tell what is wrong with a whole page; nothing, if it is valid as far as we can see."""
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    root: Element = parser.parse(text)
    wrong = [f"{code} {facts} at {place}" for place, code, facts in parser.errors]
    wrong += [f"{tag} in {parent}" for parent, tag in _misplaced(root)]
    ids = [one.attrib["id"] for one in root.iter() if "id" in one.attrib]
    wrong += [f"id {one!r} twice" for one in sorted({one for one in ids if ids.count(one) > 1})]
    for one in root.iter():
        for name in _POINTERS:
            missing = set(one.attrib.get(name, "").split()) - set(ids)
            wrong += [f"{one.tag} {name} points at {id_!r}, which is not there" for id_ in missing]
        wrong += [f"obsolete: {name}" for name in _OBSOLETE & {str(one.tag), *one.attrib}]
        if one.tag == "img" and "alt" not in one.attrib:
            wrong.append("img without alt")
        if one.tag == "button" and one.attrib.get("type", "submit") not in {"submit", "button"}:
            wrong.append("button of an odd type")
    titles = [one for one in root.iter("title") if (one.text or "").strip()]
    if not titles or not root.attrib.get("lang"):
        wrong.append("no title, or no language")
    return wrong


def form_of(page: str, address: str) -> dict[str, Any]:
    """Read what a browser would send of a form that nobody touched: the page's own, or a named one.

    Ways back from what was just done are none of them.
    """
    tree = html5lib.parse(page, namespaceHTMLElements=False)
    for form in tree.iter("form"):
        if form.get("method") != "post" or form.get("action") not in {None, address}:
            continue
        said: dict[str, Any] = {}
        for one in form.iter():
            name = one.get("name")
            if not name or name == "csrfmiddlewaretoken" or one.tag == "button":
                continue
            if one.tag == "select":
                chosen = [o for o in one.iter("option") if o.get("selected") is not None]
                said[name] = chosen[0].get("value") if chosen else ""
            elif one.get("type") in {"checkbox", "radio"}:
                if one.get("checked") is not None:
                    said.setdefault(name, []).append(one.get("value") or "on")
            else:
                said[name] = (
                    (one.text or "").strip() if one.tag == "textarea" else one.get("value") or ""
                )
        if said and "undoing" not in said:
            return said
    raise AssertionError("no form")


def _misplaced(root: Element) -> Iterator[tuple[str, str]]:
    """Give whatever stands where it must not: parent and tag."""
    for parent in root.iter():
        tag = str(parent.tag)
        for child in parent:
            name = str(child.tag)
            if tag in _CHILDREN and name not in _CHILDREN[tag] | {"script", "template"}:
                yield tag, name
            if name in _PARENTS and tag not in _PARENTS[name]:
                yield tag, name
        if tag in _WORDS:
            yield from ((tag, str(one.tag)) for one in parent.iter() if _is_block(one, parent))
        if tag in {"a", "button"}:
            inner = (str(one.tag) for one in parent.iter() if one is not parent)
            yield from ((tag, name) for name in inner if name in _CLICKED)


def _is_block(one: Element, parent: Element) -> bool:
    return one is not parent and one.tag in _BLOCKS
