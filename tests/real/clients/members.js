// What a program in Node does: c-ares for A, AAAA, SRV and TXT, and for HOST
// dns.lookup, as every connection by name. Words are pairs of a type and a name,
// after the server; it prints a line for each.

const dns = require("node:dns").promises;

const BY_TYPE = {
  A: (resolver, name) => resolver.resolve4(name),
  AAAA: (resolver, name) => resolver.resolve6(name),
  SRV: async (resolver, name) =>
    (await resolver.resolveSrv(name)).map((record) => `${record.name}:${record.port}`),
  TXT: async (resolver, name) => (await resolver.resolveTxt(name)).map((parts) => parts.join("")),
  HOST: async (_, name) =>
    (await dns.lookup(name, { all: true })).map((found) => found.address),
};

async function main([server, ...words]) {
  const resolver = new dns.Resolver({ timeout: 3000, tries: 2 });
  resolver.setServers([server]);
  for (let n = 0; n + 1 < words.length; n += 2) {
    const [kind, name] = words.slice(n, n + 2);
    const found = await BY_TYPE[kind](resolver, name).then(
      (records) => records.sort().join(" "),
      (error) => error.code,
    );
    console.log(kind, name, found);
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
