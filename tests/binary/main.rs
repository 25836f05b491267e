//! The binary as its users meet it: a process with arguments, variables, a config file and signals, beside a vendor
//! that is the emulator in this process. One module for each behaviour. Numbers in names are those of the acceptance
//! table (`rank_`) and of the vendor's test vectors (`row_`).

#[path = "../issuer/mod.rs"]
mod issuer;
mod support;

mod audit;
mod bold_bi;
mod bounds;
mod caller_tls;
mod caller_tls_files;
mod canary;
mod check;
mod clients;
mod clouds;
mod command_line;
mod defence;
mod entra;
mod entra_clients;
mod environment;
mod framing;
mod live_check;
mod memory;
mod metadata;
mod openapi;
mod power_bi;
mod probes;
mod reload;
mod replies;
mod report_frame;
mod rotation;
mod routes;
mod series;
mod start;
mod stop;
mod surroundings;
mod tls;
mod unix_socket;
mod unix_socket_file;
mod viewers;
