//! Traces of runs, as trees and, for the plain ones, in every word.

mod agents;
mod bed;
mod logs;
mod workflows;
