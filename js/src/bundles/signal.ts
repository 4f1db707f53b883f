import { SignalCell } from "../views/signal/SignalCell.tsx";
import { SignalTab } from "../views/signal/SignalTab.tsx";

export default { Tab: SignalTab, Cell: SignalCell };
