import { Reinitialize } from "../../views/edit/Reinitialize.tsx";

export default Reinitialize;
