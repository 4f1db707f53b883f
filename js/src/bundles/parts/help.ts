import { Help } from "../../views/help/Help.tsx";

export default Help;
