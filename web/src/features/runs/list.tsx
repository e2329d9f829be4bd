import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { runs } from "../../api/queries";
import { Top } from "../../app/top";
import { Empty, Loading, Trouble } from "../../ui/empty";
import { RunRows } from "./rows";

/** The latest runs. */
export function RunList() {
  const list = useQuery(runs);
  return (
    <>
      <Top title="Runs" name="Runs" />
      <div className="tile page">
        {list.isPending ? <Loading /> : list.isError ? <Trouble error={list.error} retry={() => void list.refetch()} /> : list.data.items.length ? <RunRows items={list.data.items} /> : <Empty action={<Link to="/" className="button act">Start the example</Link>}>Nothing has run here yet.</Empty>}
      </div>
    </>
  );
}
