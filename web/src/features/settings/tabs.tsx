import { Link } from "@tanstack/react-router";

export function SettingsTabs({ here }: { here: "providers" | "admin" }) {
  return (
    <div className="tabs">
      <Link to="/settings/providers" search={{ name: undefined }} data-here={here === "providers"}>Providers</Link>
      <Link to="/settings/admin" search={{ types: undefined }} data-here={here === "admin"}>Admin</Link>
    </div>
  );
}
