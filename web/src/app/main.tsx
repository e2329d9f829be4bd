import "@fontsource-variable/inter/wght.css";
import "@fontsource-variable/jetbrains-mono/wght.css";
import "../styles/tokens.css";
import "../styles/base.css";
import "../styles/shell.css";
import "../styles/features.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { client } from "../api/queries";
import { Toasts } from "../ui/toast";
import { router } from "./router";
import { SignedIn } from "./session";

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <SignedIn>
        <RouterProvider router={router} />
      </SignedIn>
      <Toasts />
    </QueryClientProvider>
  </StrictMode>,
);
