# The addon: sources and flags. CMakeLists.txt lists the same sources; a test compares the two.
{
  'targets': [{
    'target_name': 'node-vpp',
    'sources': [
      'addon/addon.cc',
      'addon/doorbell.cc',
      'addon/environment.cc',
      'addon/memif_bridge.cc',
      'addon/memif_interface.cc',
      'addon/memif_listener.cc',
      'addon/memif_memory.cc',
      'addon/memif_shared_queues.cc',
      'addon/packets.cc',
      'addon/stats_client.cc',
      'addon/stats_memory.cc',
      'memif/bridge.cc',
      'memif/client_handshake.cc',
      'memif/connection.cc',
      'memif/interface.cc',
      'memif/listener.cc',
      'memif/protocol.cc',
      'memif/queue.cc',
      'memif/server_handshake.cc',
      'memif/session.cc',
      'stats/segment.cc',
      'stats/server.cc',
      'sys/doorbell.cc',
      'sys/foreign_fd.cc',
      'sys/guard.cc',
      'sys/seqpacket.cc',
      'sys/shared_memory.cc',
    ],
    'include_dirs': [
      '.',
      "<!(node -p \"require('node-addon-api').include_dir\")",
    ],
    'defines': [
      'NAPI_VERSION=9', 'NAPI_DISABLE_CPP_EXCEPTIONS', 'NODE_ADDON_API_DISABLE_DEPRECATED', 'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS', '_GNU_SOURCE',
      # The package by its own name: the command runs in the root of the repository, or in native/ of the package.
      "NODE_VPP_VERSION=\"<!(node -p \"require('node-vpp/package.json').version\")\"",
    ],
    'cflags_cc!': ['-fno-exceptions', '-std=gnu++17', '-std=gnu++20'],
    'cflags_cc': ['-std=c++20', '-O2', '-fno-exceptions', '-fvisibility=hidden', '-Wall', '-Wextra', '-Werror=return-type', '-Wno-unused-parameter'],
    'ldflags': [
      '-static-libstdc++', '-static-libgcc',
      # Node unloads what only a worker had loaded; a signal handler and a thread that closes descriptors stay.
      '-Wl,-z,nodelete',
      "-Wl,--version-script=<!(node -p \"require('path').join(require.resolve('node-vpp/package.json'), '../native/addon.map')\")",
    ],
    'libraries': ['-lpthread'],
  }],
}
