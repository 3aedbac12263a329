// What entries of the document may have in them, so that a misspelled word is an error and not something left out.

/** Fields by name; those of what is in them, or `true` for a value. A list is as one of its members. */
interface Fields {
  readonly [name: string]: true | Fields;
}

const fields = <N extends string>(names: string, inner?: Readonly<Record<N, Fields>>): Fields => ({
  ...Object.fromEntries(names.split(' ').map((name) => [name, true as const])),
  ...inner,
});

const paths = fields('via interface table lookup type weight preference resolveVia vppType', {
  labels: fields('label ttl exp'),
});
const settings = 'up mac mtu addresses table tagRewrite unnumbered';

const sections: Fields = {
  tables: fields('id family name'),
  acls: fields('tag rules'),
  interfaces: fields(`name kind host instance ${settings}`, {
    table: fields('ip4 ip6'),
    mtu: fields('l3 ip4 ip6 mpls'),
    tagRewrite: fields('op dot1q tag1 tag2'),
    memif: fields('socket id role mode secret ringSize bufferSize rxQueues txQueues zeroCopy'),
    tap: fields(
      'id hostName hostNamespace hostBridge hostMac hostMtu hostIp4 hostIp6 hostGateway4 hostGateway6 rxQueues txQueues ' +
        'rxRingSize txRingSize tun gso checksum persist attach coalesce packed inOrder',
    ),
    vlan: fields('parent id vlan innerVlan dot1ad exactMatch isDefault'),
    tunnel: fields(
      'source destination vni multicastInterface encapTable sourcePort destinationPort instance l3 type mode sessionId key ' +
        'dscp copyFlags',
    ),
    bond: fields('id mode loadBalance numaOnly gso'),
    members: fields('interface passive longTimeout weight'),
    acls: fields('input output'),
  }),
  macips: fields('tag rules interfaces'),
  bridges: fields('id tag macAgeMinutes flood unknownUnicastFlood forward learn arpTermination arpUnicastForward', {
    members: fields('interface splitHorizonGroup bvi'),
  }),
  crossConnects: fields('rx tx'),
  spans: fields('from to direction l2'),
  urpf: fields('interface mode family direction table'),
  routes: fields('prefix table', { paths }),
  neighbors: fields('interface ip mac'),
  proxyArpRanges: fields('low high table'),
  proxyArpInterfaces: fields('interface'),
  proxyNd: fields('interface ip'),
  routerAdvertisements: fields(
    'interface suppress managed other linkLayerOption unicast maxIntervalSeconds minIntervalSeconds lifetimeSeconds',
    { prefixes: fields('prefix autoconfigure onLink validSeconds preferredSeconds') },
  ),
  l3xc: fields('interface family', { paths }),
  abf: fields('id acl family', { paths, attachments: fields('interface priority family') }),
  puntSockets: fields('protocol port ipProtocol reason family path'),
  puntRedirects: fields('rx family', { paths }),
  nat44: fields('inside outside output interfacePools forwarding', {
    pools: fields('first last table twice'),
    mappings: fields(
      'tag local external externalInterface protocol localPort externalPort table twice outToInOnly poolAddress',
    ),
    balancers: fields('tag external port protocol twice outToInOnly affinitySeconds', {
      backends: fields('address port weight table'),
    }),
    identities: fields('tag address interface protocol port table'),
    timeouts: fields('udp tcpEstablished tcpTransitory icmp'),
  }),
};

/** What is wrong with the fields of an entry of a section: the first that means nothing; undefined when each does. */
export function fieldProblem(section: string, entry: unknown): string | undefined {
  return problemIn(section, sections[section] ?? true, entry);
}

function problemIn(where: string, known: true | Fields, value: unknown): string | undefined {
  if (known === true || typeof value !== 'object' || value === null) return undefined;
  if (Array.isArray(value)) {
    for (const one of value as unknown[]) {
      const problem = problemIn(where, known, one);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }
  for (const [name, inner] of Object.entries(value)) {
    const field = Object.hasOwn(known, name) ? known[name] : undefined;
    if (field === undefined) return `"${name}" is nothing of ${where} (${Object.keys(known).join(', ')})`;
    const problem = problemIn(`${where}.${name}`, field, inner);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
