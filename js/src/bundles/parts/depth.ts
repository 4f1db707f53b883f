import { AcrossBlocks } from "../../views/inspector/stats/AcrossBlocks.tsx";

export default AcrossBlocks;
