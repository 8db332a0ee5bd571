"use strict";
const { site, panel, issue } = document.body.dataset;
const calls = {
  getSiteInfo: async () => JSON.parse(site),
  getIdToken: async () => (await fetch(issue, { method: "POST" })).text(),
};
addEventListener("message", async (event) => {
  const frame = document.querySelector("iframe").contentWindow;
  if (event.source !== frame || event.origin !== new URL(panel).origin) return;
  const { id, call } = event.data;
  if (Object.hasOwn(calls, call)) {
    event.source.postMessage({ id, result: await calls[call]() }, event.origin);
  }
});
