/** The commands whose label holds all letters in order, best first: the closer together and the earlier, the better. */
export function match<T extends { label: string }>(commands: T[], text: string): T[] {
  const wanted = text.toLowerCase().replace(/\s+/g, "");
  if (!wanted) return commands;
  return commands
    .map((command) => ({ command, score: score(command.label.toLowerCase(), wanted) }))
    .filter((found) => found.score !== null)
    .sort((one, other) => one.score! - other.score!)
    .map((found) => found.command);
}

function score(label: string, wanted: string): number | null {
  const whole = label.replace(/\s+/g, "").indexOf(wanted);
  if (whole >= 0) return whole;
  let at = -1;
  let gaps = 100;
  for (const letter of wanted) {
    const found = label.indexOf(letter, at + 1);
    if (found < 0) return null;
    gaps += found - at - 1;
    at = found;
  }
  return gaps;
}
