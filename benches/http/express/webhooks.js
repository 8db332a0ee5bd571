// What one would write with Node instead: express 5 and the check of Webflow's official SDK, over the
// raw body, with the look at the clock that the SDK leaves out. Its address is printed.

import express from "express";
import { WebflowClient } from "webflow-api";

const secret = process.env.WEBHOOK_SECRET;
const client = new WebflowClient({ accessToken: "not used" });

const app = express();
app.post("/", express.raw({ type: "application/json", limit: "2mb" }), async (request, response) => {
  const { headers } = request;
  const age = Math.abs(Date.now() - Number(headers["x-webflow-timestamp"]));
  const body = Buffer.isBuffer(request.body) ? request.body.toString() : "";
  const isFresh = age <= 300_000;
  if (!isFresh || !(await client.webhooks.verifySignature({ headers, body, secret }))) {
    return response.sendStatus(401);
  }
  const event = JSON.parse(body);
  response.sendStatus(event.triggerType ? 200 : 400);
});

const server = app.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
