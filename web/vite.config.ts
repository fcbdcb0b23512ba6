import { brotliCompressSync, constants } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

// The last two of its steps are much slower, and gain little.
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } };

/** Lays scripts and styles beside themselves in brotli, which is a quarter of them. */
const compressed: Plugin = {
  name: "compressed",
  enforce: "post",
  generateBundle(_, bundle) {
    for (const file of Object.values(bundle)) {
      const source = file.type === "chunk" ? file.code : file.source;
      if (/\.(js|css)$/.test(file.fileName))
        this.emitFile({
          type: "asset",
          fileName: `${file.fileName}.br`,
          source: brotliCompressSync(source, BROTLI),
        });
    }
  },
};

export default defineConfig({
  root: import.meta.dirname,
  plugins: [compressed],
  build: {
    outDir: "dist",
    emptyOutDir: true,
    // The page's policy allows scripts and styles of this origin only, none that stand in the page or in an address.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 800,
    rolldownOptions: {
      onwarn(warning, warn) {
        // "use client" is for frameworks with two sides; this page has one.
        if (warning.code !== "MODULE_LEVEL_DIRECTIVE") warn(warning);
      },
    },
  },
  // `vite web` shows each change at once, beside a shop that `make run` has started.
  server: { proxy: { "^/(v\\d+|shop\\.[^/]+)/": "http://localhost:8080" } },
});
