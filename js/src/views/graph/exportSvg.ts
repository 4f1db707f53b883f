/** What of its style a drawing takes along. */
const STYLED = [
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-width",
  "stroke-dasharray",
  "stroke-linecap",
  "paint-order",
  "font-family",
  "font-size",
  "font-weight",
  "font-style",
  "text-anchor",
  "visibility",
];
const DROPPED = ["class", "tabindex", "data-key", "aria-pressed", "aria-expanded", "aria-describedby"];

/** A drawing as a file of its own: the same picture, without a script and without the page's style. */
export function standaloneSvg(svg: SVGSVGElement): string {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  const view = svg.ownerDocument.defaultView as Window;
  const originals = [svg, ...svg.querySelectorAll("*")];
  for (const [at, element] of [copy, ...copy.querySelectorAll("*")].entries()) {
    const original = originals[at] as Element;
    const style = view.getComputedStyle(original);
    const around = original === svg ? null : view.getComputedStyle(original.parentElement as Element);
    for (const name of STYLED) {
      const value = style.getPropertyValue(name);
      // What is around it has passes on.
      if (value !== "" && value !== around?.getPropertyValue(name)) {
        element.setAttribute(name, value);
      }
    }
    for (const name of DROPPED) {
      element.removeAttribute(name);
    }
    if (element.getAttribute("role") === "button") {
      element.setAttribute("role", "img");
    }
  }
  const [, , width = "0", height = "0"] = (svg.getAttribute("viewBox") ?? "").split(" ");
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  const ground = svg.ownerDocument.createElementNS("http://www.w3.org/2000/svg", "rect");
  ground.setAttribute("width", width);
  ground.setAttribute("height", height);
  ground.setAttribute("fill", groundOf(svg));
  copy.prepend(ground);
  return new XMLSerializer().serializeToString(copy);
}

/** The colour that a drawing stands on. */
function groundOf(svg: SVGSVGElement): string {
  const view = svg.ownerDocument.defaultView as Window;
  for (let element: Element | null = svg; element !== null; element = element.parentElement) {
    const colour = view.getComputedStyle(element).backgroundColor;
    if (colour !== "" && colour !== "transparent" && colour !== "rgba(0, 0, 0, 0)") {
      return colour;
    }
  }
  return "white";
}
