/** A unified diff; what was added and taken away is told by its sign as well as by colour. */
export function Diff({ text }: { text: string }) {
  const lines = text.split("\n");
  return (
    <pre className="diff" tabIndex={0} aria-label="Diff">
      {lines.map((line, index) => (
        <span key={index} className={line.startsWith("@@") || line.startsWith("+++") || line.startsWith("---") ? "hunk" : line.startsWith("+") ? "add" : line.startsWith("-") ? "del" : undefined}>
          {line || " "}
        </span>
      ))}
    </pre>
  );
}
