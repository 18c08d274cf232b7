//! Tests of plugins that are run twice: with the plugin in the host's process, and in one of its own.

/// Makes two tests of each function that takes where its plugins run.
macro_rules! in_both_modes {
    ($($test:ident),* $(,)?) => {
        mod inline {
            $(#[tokio::test]
            async fn $test() {
                super::$test(hotbay::plugin::settings::Isolation::Inline).await;
            })*
        }

        mod process {
            $(#[tokio::test]
            async fn $test() {
                super::$test(hotbay::plugin::settings::Isolation::Process).await;
            })*
        }
    };
}

pub(crate) use in_both_modes;
