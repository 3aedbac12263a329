// Which plugin a message belongs to: the module a message is defined in, and the file of the plugin that has it. Facts
// of the VPP tree (src/plugins/*/CMakeLists.txt); a module that is not named here is part of VPP's core in every
// bundled release, or was before it became a plugin.

/** Start of a message's name → the plugin's file. The first that fits counts. */
const plugins: readonly (readonly [RegExp, string])[] = [
  [/^abf_/, 'abf_plugin.so'],
  [/^(acl|macip_acl)_/, 'acl_plugin.so'],
  [/^af_packet_/, 'af_packet_plugin.so'],
  [/^arping/, 'arping_plugin.so'],
  [/^dhcp_/, 'dhcp_plugin.so'],
  [/^(geneve_|sw_interface_set_geneve)/, 'geneve_plugin.so'],
  [/^gre_/, 'gre_plugin.so'],
  [/^l3xc_/, 'l3xc_plugin.so'],
  [/^sw_interface_lacp_/, 'lacp_plugin.so'],
  [/^lcp_/, 'linux_cp_plugin.so'],
  [/^(lldp_|sw_interface_set_lldp)/, 'lldp_plugin.so'],
  [/^memif_/, 'memif_plugin.so'],
  [/^mss_clamp_/, 'mss_clamp_plugin.so'],
  [/^nat(44)?_/, 'nat_plugin.so'],
  [/^tap_|^sw_interface_tap_/, 'tap_plugin.so'],
  [/^trace_/, 'tracedump_plugin.so'],
  [/^urpf_/, 'urpf_plugin.so'],
  [/vhost_user/, 'vhost_plugin.so'],
  [/^(vxlan_(?!gpe)|sw_interface_set_vxlan_bypass)/, 'vxlan_plugin.so'],
];

/** The file of the plugin that a message belongs to; undefined for VPP's core. */
export function pluginOf(message: string): string | undefined {
  return plugins.find(([pattern]) => pattern.test(message))?.[1];
}
