import { h } from "preact";
import { GraphTab, type GraphTabProps } from "../../views/graph/GraphTab.tsx";
import { layOutInWorker } from "../../views/graph/layoutWorker.ts";

export default (props: GraphTabProps) => h(GraphTab, { ...props, loadLayout: layOutInWorker });
