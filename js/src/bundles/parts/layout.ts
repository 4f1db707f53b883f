import { layOut } from "../../state/graph/layout.ts";

export default layOut;
