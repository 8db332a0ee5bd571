// The `webflow` object of a Designer Extension, for a panel in the fake Designer's frame. In Webflow's
// own Designer it is there without a script.
"use strict";
(() => {
  const designer = new URL(document.currentScript.src).origin;
  const waiting = new Map();
  addEventListener("message", (event) => {
    if (event.source !== parent || event.origin !== designer) return;
    waiting.get(event.data.id)?.(event.data.result);
    waiting.delete(event.data.id);
  });
  const call = (name) =>
    new Promise((resolve) => {
      const id = crypto.randomUUID();
      waiting.set(id, resolve);
      parent.postMessage({ id, call: name }, designer);
    });
  window.webflow = {
    getIdToken: () => call("getIdToken"),
    getSiteInfo: () => call("getSiteInfo"),
  };
})();
