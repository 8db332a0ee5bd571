// Has Webflow's JavaScript SDK check or make a webhook's signature, and prints the outcome as JSON:
// `check` says whether WEBHOOK_SIGNATURE is good for WEBHOOK_BODY, `sign` prints the signature that
// the SDK itself computes for it.
//
// The SDK signs only inside of its check: for `sign`, what its HMAC returns there is noted.

import crypto from "node:crypto";
import { WebflowClient } from "webflow-api";

const { WEBHOOK_SECRET: secret, WEBHOOK_BODY: body } = process.env;
const headers = {
  "x-webflow-timestamp": process.env.WEBHOOK_TIMESTAMP,
  "x-webflow-signature": process.env.WEBHOOK_SIGNATURE,
};

let signed;
const { subtle } = crypto.webcrypto;
const sign = subtle.sign.bind(subtle);
subtle.sign = async (...input) => {
  const output = await sign(...input);
  signed = Buffer.from(output).toString("hex");
  return output;
};

const client = new WebflowClient({ accessToken: "not used" });
const verified = await client.webhooks.verifySignature({ headers, body, secret });
console.log(JSON.stringify(process.argv[2] === "sign" ? signed : verified));
