"""What axe-core has to complain of in a page."""

from pathlib import Path

AXE = (Path(__file__).parent / "axe-4.14.1/axe.min.js").read_text(encoding="utf-8")


def complaints(page):
    """What axe-core finds: all of it in light, and in dark what colours can break, as the rest is the same.

    Only complaints are worked out, and come over the wire.
    """
    page.evaluate(AXE)
    found = []
    for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        page.emulate_media(color_scheme=scheme)
        options = {"resultTypes": ["violations"]} | rules
        violations = page.evaluate("options => axe.run(document, options).then((ran) => ran.violations)", options)
        found += [(scheme, page.url, each["id"], each["nodes"][0]["html"][:200]) for each in violations]
    return found
