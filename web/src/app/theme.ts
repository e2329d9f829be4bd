import { useSyncExternalStore } from "react";

export type Theme = "light" | "dark";

const media = window.matchMedia("(prefers-color-scheme: dark)");
const watchers = new Set<() => void>();
media.addEventListener("change", () => watchers.forEach((act) => act()));

export function theme(): Theme {
  const chosen = document.documentElement.dataset.theme;
  return chosen === "light" || chosen === "dark" ? chosen : media.matches ? "dark" : "light";
}

/** Chooses the other theme, and remembers it in this browser. */
export function toggleTheme(): void {
  const other = theme() === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = other;
  localStorage.setItem("mosaic-theme", other);
  watchers.forEach((act) => act());
}

export function useTheme(): Theme {
  return useSyncExternalStore((act) => (watchers.add(act), () => watchers.delete(act)), theme);
}
