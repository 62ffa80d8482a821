//! `liblandfall_file.so`.

landfall_handler_api::export! { name: "file", handlers: [landfall_handler_file::FileHandler] }
