import { TablePanel } from "../../views/table/TablePanel.tsx";

export default TablePanel;
