"""An accessibility audit by axe-core."""

from __future__ import annotations

from pathlib import Path

from lab_driver.explorer import Explorer

AXE = Path(__file__).parents[3] / "node_modules" / "axe-core" / "axe.min.js"

RUN = """async (root) => {
  const { violations } = await axe.run(root, { resultTypes: ['violations'] });
  return violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.html.slice(0, 300)} | ${node.failureSummary}`));
}"""


def violations(explorer: Explorer) -> list[str]:
    """Return every violation of every rule within the Explorer, one line each."""
    if not explorer.root.evaluate("() => 'axe' in window"):
        # require.js is on JupyterLab's page: an anonymous define would take the module away from us.
        source = AXE.read_text(encoding="utf-8")
        explorer.root.evaluate(f"() => {{ const define = undefined; const module = undefined; {source} }}")
    found: list[str] = explorer.root.evaluate(RUN)
    return found
