// Runs one step with Webflow's JavaScript SDK and prints the result as JSON. The argument names the
// step: `authorize` builds the link, `exchange` exchanges WEBFLOW_CODE, `read` and `use` make API calls
// with WEBFLOW_TOKEN.
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

  async use() {
    const base = `${env("WEBFLOW_BASE_URL")}/v2`;
    const client = new WebflowClient({ accessToken: env("WEBFLOW_TOKEN"), baseUrl: base });
    const { items } = client.collections;
    const site = await client.sites.get((await client.sites.list()).sites[0].id);
    const { customDomains } = await client.sites.getCustomDomain(site.id);
    const fields = { displayName: "Recipes", singularName: "Recipe" };
    const made = await client.collections.create(site.id, fields);
    const collection = await client.collections.get(made.id);

    const draft = await items.createItem(made.id, { fieldData: { name: "Soup", slug: "soup" } });
    const live = await items.createItemLive(made.id, { fieldData: { name: "Pie", slug: "pie" } });
    const bulk = await items.createItems(made.id, {
      cmsLocaleIds: [site.locales.primary.cmsLocaleId],
      fieldData: { name: "Jam", slug: "jam" },
    });
    const published = await items.publishItem(made.id, { itemIds: [draft.id] });
    await items.updateItem(made.id, draft.id, { fieldData: { name: "Stew", slug: "soup" } });
    await items.updateItemLive(made.id, live.id, { fieldData: { name: "Tart", slug: "pie" } });
    await items.updateItems(made.id, { items: [{ id: bulk.id, isArchived: true }] });
    await items.updateItemsLive(made.id, { items: [{ id: live.id, isDraft: false }] });
    const staged = await items.listItems(made.id, { sortBy: "name", sortOrder: "desc", limit: 2 });
    const found = await items.listItems(made.id, {
      slug: "soup",
      lastPublished: { gte: new Date(0) },
    });
    const listedLive = await items.listItemsLive(made.id);
    const oneLive = await items.getItemLive(made.id, live.id);
    await items.deleteItemLive(made.id, live.id);
    await items.deleteItemsLive(made.id, { items: [{ id: draft.id }] });
    const off = await items.getItem(made.id, live.id);
    await items.deleteItem(made.id, live.id);
    await items.deleteItems(made.id, { items: [{ id: draft.id }, { id: bulk.id }] });
    await client.collections.delete(made.id);

    const { pages } = await client.pages.list(site.id, { limit: 2 });
    await client.pages.updatePageSettings(pages[1].id, { title: "Us" });
    const page = await client.pages.getMetadata(pages[1].id);
    const content = await client.pages.getContent(page.id);

    const { forms } = await client.forms.list(site.id);
    const form = await client.forms.get(forms[0].id);
    const { formSubmissions } = await client.forms.listSubmissions(form.id);
    const submission = await client.forms.getSubmission(formSubmissions[0].id);
    await client.forms.deleteSubmission(submission.id);

    const file = { fileName: "a.png", fileHash: "3c7d87c9575702bc3b1e991f4d3c638e" };
    const upload = await client.assets.create(site.id, file);
    const uploaded = await fetch(upload.uploadUrl, { method: "POST", body: "12345" });
    await client.assets.update(upload.id, { displayName: "A picture" });
    const asset = await client.assets.get(upload.id);
    const { assets } = await client.assets.list(site.id);
    const folder = await client.assets.createFolder(site.id, { displayName: "Icons" });
    const { assetFolders } = await client.assets.listFolders(site.id);
    const sameFolder = await client.assets.getFolder(folder.id);
    await client.assets.delete(asset.id);

    const hook = await client.webhooks.create(site.id, {
      triggerType: "site_publish",
      url: "https://app.example/hook",
    });
    const { webhooks } = await client.webhooks.list(site.id);
    const sameHook = await client.webhooks.get(hook.id);
    await client.webhooks.delete(hook.id);

    const publication = await client.sites.publish(site.id, { publishToWebflowSubdomain: true });
    return {
      site: site.shortName,
      domains: customDomains.length,
      fields: collection.fields.map((field) => field.slug),
      drafts: [draft.isDraft, live.isDraft, off.isDraft],
      locales: bulk.cmsLocaleIds.length,
      published: published.publishedItemIds.length,
      staged: staged.items.map((item) => item.fieldData.name),
      found: found.items.map((item) => item.fieldData.name),
      live: [listedLive.items.length, oneLive.fieldData.name],
      page: [pages.length, page.title, content.nodes.length],
      form: [form.displayName, submission.formResponse.Name],
      asset: [uploaded.status, asset.size, asset.displayName, assets.length],
      folder: [assetFolders.length, sameFolder.displayName],
      webhook: [webhooks.length, sameHook.triggerType],
      publication: publication.publishToWebflowSubdomain,
    };
  },
};

console.log(JSON.stringify(await steps[process.argv[2]]()));
