//! `liblandfall_disk.so`.

landfall_handler_api::export! {
    name: "disk",
    handlers: [
        landfall_handler_vmdk::VmdkHandler,
        landfall_handler_ova::OvaHandler,
        landfall_handler_filters::GzipHandler,
        landfall_handler_filters::ZstdHandler,
        landfall_handler_filters::XzHandler,
        landfall_handler_filters::Bzip2Handler,
    ]
}
