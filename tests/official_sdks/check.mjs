// Runs one step with Webflow's JavaScript SDK and prints the result as JSON. The argument names the
// step: `authorize` builds the link, `exchange` exchanges WEBFLOW_CODE, `read` makes API calls with
// WEBFLOW_TOKEN.
//
// The SDK is unmodified. Its exchange has no setting for the host, so Node's fetch is wrapped to send
// requests for https://api.webflow.com to WEBFLOW_BASE_URL, with the SDK's method, headers and body.
// The API calls use the SDK's own `baseUrl` setting.

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
