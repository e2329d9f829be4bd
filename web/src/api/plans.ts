// What the board reads of plans, under the names it uses.
import type { GraphItem } from "./schema";

export type { ChangeDocument, GraphDocument, GraphItem, ItemName, PlanDocument, PlanPage } from "./schema";
export type ItemStatus = GraphItem["status"];
