//! Power BI through the sidecar: embed tokens by way of Microsoft Entra. Names carry the rows of the vendor's test
//! vectors (`row_h`), and of the table of identities (`v`).

mod entra_faults;
mod faults;
mod forms;
mod identities;
mod keys;
mod lives;
mod outages;

mod scene;

mod tokens;
