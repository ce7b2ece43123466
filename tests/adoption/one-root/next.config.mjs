export default {
  rewrites: async () => [{ source: "/api/py/:path*", destination: `${process.env.API_URL ?? "http://127.0.0.1:8000"}/api/py/:path*` }],
};
