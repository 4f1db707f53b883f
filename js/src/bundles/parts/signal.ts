import { CompareInits } from "../../views/signal/CompareInits.tsx";
import { SignalCell } from "../../views/signal/SignalCell.tsx";
import { SignalTab } from "../../views/signal/SignalTab.tsx";

export default { Tab: SignalTab, Compare: CompareInits, Cell: SignalCell };
