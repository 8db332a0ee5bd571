// The same application with Node: express 5, passport and express-session in front of a handler, and
// Webflow's official SDK for the authorize link, the exchange and each request's client.
// WEBFLOW_BASE_URL is the address of the fake Webflow; the server prints its own address. With the
// argument `bare` there is only express and the handler.

import { randomBytes } from "node:crypto";
import express from "express";
import session from "express-session";
import passport from "passport";
import { Strategy } from "passport-strategy";
import { WebflowClient } from "webflow-api";

const clientId = "client";
const clientSecret = "secret";
const webflow = process.env.WEBFLOW_BASE_URL;

// The SDK's exchange has no setting for the host.
const { fetch } = globalThis;
globalThis.fetch = (url, init) =>
  fetch(String(url).replace("https://api.webflow.com", webflow), init);

class Webflow extends Strategy {
  name = "webflow";

  async authenticate(request) {
    const redirectUri = `http://${request.headers.host}/auth/webflow/callback`;
    const { code, state } = request.query;
    if (code === undefined) {
      request.session.state = randomBytes(32).toString("base64url");
      const scope = ["sites:read"];
      const link = { clientId, redirectUri, state: request.session.state, scope };
      return this.redirect(WebflowClient.authorizeURL(link));
    }
    if (!state || state !== request.session.state) return this.fail("unknown state", 400);
    try {
      const exchange = { clientId, clientSecret, code, redirectUri };
      this.success({ token: await WebflowClient.getAccessToken(exchange) });
    } catch (error) {
      this.error(error);
    }
  }
}

const app = express();
if (process.argv[2] === "bare") {
  app.get("/", (request, response) => response.type("text/plain").send("ok"));
} else {
  passport.use(new Webflow());
  passport.serializeUser((user, done) => done(null, user));
  passport.deserializeUser((user, done) => done(null, user));
  app.use(session({ secret: "s".repeat(32), resave: false, saveUninitialized: false }));
  app.use(passport.session());
  app.get("/auth/webflow/login", passport.authenticate("webflow"));
  app.get(
    "/auth/webflow/callback",
    passport.authenticate("webflow", { successRedirect: "/" }),
  );
  app.get("/", (request, response) => {
    if (!request.isAuthenticated()) return response.redirect(303, "/auth/webflow/login");
    request.webflow = new WebflowClient({ accessToken: request.user.token });
    response.type("text/plain").send("ok");
  });
}

const server = app.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
