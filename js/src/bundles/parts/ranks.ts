import { Borders } from "../../views/ranks/Borders.tsx";
import { RankLines } from "../../views/ranks/RankLines.tsx";
import { RanksLine } from "../../views/ranks/RanksLine.tsx";

export default { Line: RanksLine, Lines: RankLines, Borders };
