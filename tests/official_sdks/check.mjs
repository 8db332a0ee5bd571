// Has Webflow's JavaScript SDK take one step, named by the argument, and prints what came of it as
// JSON: `authorize` builds the link, `exchange` exchanges WEBFLOW_CODE, `read` looks things up with
// WEBFLOW_TOKEN.
//
// The SDK's code is untouched, but its exchange has no setting for the host: Node's fetch is wrapped
// so that https://api.webflow.com is reached at WEBFLOW_BASE_URL, with method, headers and body as
// the SDK made them. For look-ups the SDK's own `baseUrl` is used.

import { WebflowClient } from "webflow-api";

const env = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
};

const steps = {
  authorize() {
    return WebflowClient.authorizeURL({
      clientId: env("WEBFLOW_CLIENT_ID"),
      redirectUri: env("WEBFLOW_REDIRECT_URI"),
      state: env("WEBFLOW_STATE"),
      scope: env("WEBFLOW_SCOPES").split(" "),
    });
  },

  async exchange() {
    let asked;
    const fetch = globalThis.fetch;
    globalThis.fetch = (url, init) => {
      asked = String(url);
      return fetch(asked.replace("https://api.webflow.com", env("WEBFLOW_BASE_URL")), init);
    };
    try {
      const token = await WebflowClient.getAccessToken({
        clientId: env("WEBFLOW_CLIENT_ID"),
        clientSecret: env("WEBFLOW_CLIENT_SECRET"),
        code: env("WEBFLOW_CODE"),
        redirectUri: env("WEBFLOW_REDIRECT_URI"),
      });
      return { asked, token };
    } catch (error) {
      return { asked, error: { status: error.statusCode, body: error.body } };
    }
  },

  async read() {
    const client = new WebflowClient({
      accessToken: env("WEBFLOW_TOKEN"),
      baseUrl: `${env("WEBFLOW_BASE_URL")}/v2`,
    });
    const info = await client.token.introspect();
    const user = await client.token.authorizedBy();
    const { sites } = await client.sites.list();
    const { collections } = await client.collections.list(sites[0].id);
    const item = await client.collections.items.createItem(collections[0].id, {
      fieldData: { name: "A post", slug: "a-post" },
    });
    const { items, pagination } = await client.collections.items.listItems(collections[0].id);
    return {
      scope: info.authorization.scope,
      created: info.authorization.createdOn.getTime() / 1000,
      email: user.email,
      sites: sites.map((site) => site.displayName),
      collection: collections[0].displayName,
      listed: items.map((listed) => listed.id === item.id),
      total: pagination.total,
    };
  },
};

console.log(JSON.stringify(await steps[process.argv[2]]()));
