# What `npm install` builds in the repository. All of it is in native/addon.gypi, so that the published package
# (which has no binding.gyp at its root, hence no install script) can build the same sources on demand.
{ 'includes': ['native/addon.gypi'] }
