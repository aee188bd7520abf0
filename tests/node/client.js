"use strict";
// A client as the vendor's generated ones are: it says method, route, query and body; finding the project, signing,
// sending and reading the answer is the unmodified core's. The first line of standard input holds the credential, each
// further line one call; each call is answered with one line on the descriptor given as argument, because the core logs on
// standard output.
const fs = require("node:fs");
const readline = require("node:readline");
const { ClientBuilder } = require("@huaweicloud/huaweicloud-sdk-core/ClientBuilder");
const { BasicCredentials } = require("@huaweicloud/huaweicloud-sdk-core/auth/BasicCredentials");
const { Region } = require("@huaweicloud/huaweicloud-sdk-core/region/region");

class Client {
  constructor(core) {
    this.core = core;
  }

  call({ method, url, query = {}, path = {}, body = {} }) {
    return this.core.sendRequest({
      method,
      url,
      contentType: "application/json",
      queryParams: query,
      pathParams: path,
      headers: {},
      data: body,
    });
  }
}

function connect({ endpoint, iam_endpoint, region, access_key, secret_key }) {
  const credential = new BasicCredentials().withAk(access_key).withSk(secret_key).withIamEndpoint(iam_endpoint);
  return new ClientBuilder((core) => new Client(core))
    .withCredential(credential)
    .withRegion(new Region(region, endpoint))
    .build();
}

async function main() {
  let client;
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const given = JSON.parse(line);
    if (!client) {
      client = connect(given);
      continue;
    }
    const answer = await client.call(given).catch((error) => ({
      error: {
        status: error.httpStatusCode,
        code: error.errorCode,
        message: error.errorMsg || error.message,
        request_id: error.requestId,
      },
    }));
    fs.writeSync(Number(process.argv[2]), `${JSON.stringify(answer)}\n`);
  }
}

main();
