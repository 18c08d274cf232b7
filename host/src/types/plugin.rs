//! (plugin status: arrives with the plugin layer)
