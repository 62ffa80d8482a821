//! `liblandfall_net.so`.

landfall_handler_api::export! {
    name: "net",
    handlers: [
        landfall_handler_http::HttpHandler,
        landfall_handler_swift::SwiftHandler,
        landfall_handler_s3::S3Handler,
        landfall_handler_glance::GlanceHandler,
    ]
}
