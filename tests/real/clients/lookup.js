// What a Node application does: the dns module (c-ares). Prints one JSON object.

const { Resolver } = require("node:dns").promises;

async function main([server, base]) {
  const resolver = new Resolver({ timeout: 3000, tries: 2 });
  resolver.setServers([server]);
  const failure = (error) => error.code;
  const found = {
    srv: await resolver.resolveSrv("_demo._tcp.demo-service." + base),
    a: await resolver.resolve4("demo-service." + base, { ttl: true }),
    aaaa: await resolver.resolve6("demo-service." + base),
    txt: await resolver.resolveTxt("db." + base),
    cname: await resolver.resolveCname("only-a." + base),
    chain: await resolver.resolve4("only-a." + base),
    alias: await resolver.resolve4("alias." + base),
    mx: await resolver.resolveMx("mail." + base),
    many: (await resolver.resolve4("many." + base)).length,
    missing: await resolver.resolve4("no-such." + base).catch(failure),
    empty: await resolver.resolveMx("demo-service." + base).catch(failure),
  };
  console.log(JSON.stringify(found));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
