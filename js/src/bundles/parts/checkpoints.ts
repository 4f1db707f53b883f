import { Panel } from "../../views/checkpoints/Panel.tsx";

export default Panel;
