/** Entry of the dashboard: styles, the client of the API, the router. */
import "@fontsource-variable/geist/wght.css";
import "@fontsource-variable/geist-mono/wght.css";
import "./tokens.css";
import "./base.css";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { I18nProvider } from "react-aria-components/I18nProvider";
import { createRoot } from "react-dom/client";
import { Provider } from "urql";
import { entities } from "./graphql/client.ts";
import { preloadPage, router } from "./router.tsx";
import { safeLocale } from "./ui/format.ts";
import { Toasts } from "./ui/toast.tsx";

const root = document.getElementById("root");
if (!root) throw new Error("the page has no place for the dashboard");

preloadPage(); // beside the question who is signed in, not after it

createRoot(root).render(
  <StrictMode>
    <I18nProvider locale={safeLocale()}>
      <Provider value={entities}>
        <RouterProvider router={router} />
        <Toasts />
      </Provider>
    </I18nProvider>
  </StrictMode>,
);
