import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** Writes a packed copy beside each file once all are on the disk, so that the server packs nothing while it answers. */
const packed = (): Plugin => ({
  name: "packed",
  enforce: "post",
  writeBundle({ dir }, bundle) {
    for (const name of Object.keys(bundle)) {
      if (dir && /\.(js|css|svg)$/.test(name)) writeFileSync(join(dir, `${name}.gz`), gzipSync(readFileSync(join(dir, name)), { level: 9 }));
    }
  },
});

export default defineConfig({
  plugins: [react(), packed()],
  build: { target: "es2022", manifest: true, assetsInlineLimit: 0, chunkSizeWarningLimit: 700, reportCompressedSize: false },
  worker: { format: "es" },
  server: { proxy: { "/api": process.env.MOSAIC_ADDRESS ?? "http://127.0.0.1:8420" } },
  test: { include: ["src/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
