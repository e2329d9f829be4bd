import type { ReactNode } from "react";

export function Logo() {
  return (
    <svg width="24" height="24" viewBox="0 0 24 24" aria-hidden="true">
      <rect x="1" y="1" width="8" height="10" fill="var(--lapis-fill)" />
      <rect x="11" y="1" width="12" height="10" fill="var(--needs)" />
      <rect x="1" y="13" width="8" height="10" fill="var(--done)" />
      <rect x="11" y="13" width="12" height="10" fill="var(--todo)" />
    </svg>
  );
}

const icon = (children: ReactNode) => (
  <svg width="18" height="18" viewBox="0 0 18 18" fill="none" stroke="currentColor" strokeWidth="1.5" aria-hidden="true">{children}</svg>
);

export const icons = {
  board: icon(<><rect x="2.5" y="2.5" width="5" height="7" /><rect x="10.5" y="2.5" width="5" height="4" /><rect x="2.5" y="12.5" width="5" height="3" /><rect x="10.5" y="9.5" width="5" height="6" /></>),
  inbox: icon(<><path d="M2.5 3.5h13v11h-13z" /><path d="M2.5 10h3.5l1 2h4l1-2h3.5" /></>),
  agents: icon(<><circle cx="9" cy="6" r="3" /><path d="M3 15.5c0-3 2.5-4.5 6-4.5s6 1.500 6 4.500" /></>),
  cost: icon(<path d="M2 15.500h14M4.500 13V9M9 13V4M13.500 13V7" />),
  settings: icon(<path d="M2 5h6M12 5h4M2 9h2M8 9h8M2 13h8M14 13h2M10 3v4M6 7v4M12 11v4" />),
  sun: icon(<><circle cx="9" cy="9" r="3" /><path d="M9 1.500v2M9 14.500v2M1.500 9h2M14.500 9h2M3.700 3.700l1.400 1.400M12.900 12.900l1.400 1.400M14.300 3.700l-1.400 1.400M5.100 12.900l-1.400 1.400" /></>),
  moon: icon(<path d="M14.500 11A6.500 6.500 0 0 1 7 3.500a6 6 0 1 0 7.500 7.500z" />),
};
