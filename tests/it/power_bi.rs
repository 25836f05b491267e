//! Power BI through the sidecar: embed tokens by way of Microsoft Entra. Names carry the rows of the vendor's test
//! vectors (`row_h`), and of its table of identities (`row_v`).

mod counts;
mod entra_faults;
mod faults;
mod forms;
mod identities;
mod keys;
mod lives;
mod outages;
mod refused_configs;
mod running;
mod scene;
mod secrecy;
mod tokens;
mod viewers;
